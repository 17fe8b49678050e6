import type { HandedFiles } from './handed-files.ts';

/** In a list of options a comma is written twice. */
export function escapeOption(text: string): string {
  return text.replaceAll(',', ',,');
}

/** Options of a character device that is a socket. @param isListening whether somebody listens there already */
export function socketOptions(path: string, isListening: boolean, files: HandedFiles): string {
  const fd = files.socket(path, isListening);
  const where = fd === undefined ? `path=${escapeOption(path)}` : `fd=${fd}`;
  return `${where},${isListening ? 'server=off' : 'server=on,wait=off'}`;
}
