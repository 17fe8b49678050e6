/** Ids of the services that are vsock ports, after the port (Linux: net/vmw_vsock/hyperv_transport.c). */
const TEMPLATE = '-facb-11e6-bd58-64006a7986d3';

/** Ports from here on are of connections, not of services. */
const PORTS = 0x8000_0000;

/**
 * Id of the service that a Linux guest has as a vsock port, as in the ServiceTable of documents.
 * @param port 0 to 0x7fffffff
 * @throws RangeError for another number
 */
export function vsockServiceId(port: number): string {
  if (Number.isInteger(port) && port >= 0 && port < PORTS) {
    return port.toString(16).padStart(8, '0') + TEMPLATE;
  }
  throw new RangeError(
    `Cannot make a service of port ${port}: use a whole number from 0 to 0x7fffffff`,
  );
}

/** The vsock port of a service, with or without braces; undefined where it is a service of another kind. */
export function vsockPort(serviceId: string): number | undefined {
  const [, digits] = /^\{?([0-9a-f]{8})-facb-11e6-bd58-64006a7986d3\}?$/i.exec(serviceId) ?? [];
  const port = Number.parseInt(digits ?? '', 16);
  return port < PORTS ? port : undefined;
}
