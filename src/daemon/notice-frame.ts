import type { ServiceNotices } from './protocol.ts';

/** A notification as it goes over the wire, for whoever has no {@link Channel} to send it by. */
export function noticeFrame<N extends keyof ServiceNotices>(
  method: N,
  params: ServiceNotices[N],
): string {
  const body = JSON.stringify({ jsonrpc: '2.0', method, params });
  return `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
