import { dirname, resolve } from 'node:path';
import { backingOf } from './qcow2-backing.ts';
import { resourceFailure } from './resources/resource-failure.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Properties of QEMU's backends that name a file. */
const FILE_KEYS: readonly string[] = ['filename', 'mem-path'];
/** Names that are descriptors already. */
const HANDED = /^\/(proc\/self\/fd|dev\/fdset)\//;

/** A socket or interface that a backend names. */
export interface NamedSocket {
  /** What {@link renamed} finds it by. */
  readonly key: string;
  readonly kind: 'connect' | 'listen' | 'tap';
  readonly path: string;
}

/** Files that the arguments of a backend name, each once. */
export function pathsIn(value: unknown): readonly string[] {
  const found = new Set<string>();
  walk(value, (object) => {
    for (const key of FILE_KEYS) {
      const path = object[key];
      if (typeof path === 'string' && !HANDED.test(path)) found.add(path);
    }
  });
  return [...found];
}

/**
 * Sockets and tap interfaces that the arguments of a backend name.
 * @param isOwn of a path where QEMU finds it itself
 */
export function socketsIn(args: Fields, isOwn: (path: string) => boolean): readonly NamedSocket[] {
  const found: NamedSocket[] = [];
  walk(args, (object) => {
    const { type, ifname, addr, server } = object;
    if (type === 'tap' && typeof ifname === 'string') {
      found.push({ key: `tap ${ifname}`, kind: 'tap', path: ifname });
    }
    const path = socketPath(addr);
    if (path === undefined || isOwn(path)) return;
    found.push({ key: `unix ${path}`, kind: server === true ? 'listen' : 'connect', path });
  });
  return found;
}

/** Path of a SocketAddress (QMP), in the older form as well. */
function socketPath(address: unknown): string | undefined {
  if (typeof address !== 'object' || address === null) return undefined;
  const { type, path, data } = address as Fields;
  if (type !== 'unix') return undefined;
  const found = path ?? (data as Fields | undefined)?.path;
  return typeof found === 'string' ? found : undefined;
}

/** The arguments with other names for files, and descriptors for sockets. */
export function renamed(value: Fields, names: ReadonlyMap<string, string>): Fields {
  return rename(value, names) as Fields;
}

function rename(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((one) => rename(one, names));
  if (typeof value !== 'object' || value === null) return value;
  const object = value as Fields;
  const socket = socketPath(object);
  if (socket !== undefined) return renamedSocket(object, socket, names);
  const tap = object.type === 'tap' ? names.get(`tap ${String(object.ifname)}`) : undefined;
  if (tap !== undefined) {
    const { ifname: _ifname, script: _script, downscript: _downscript, ...rest } = object;
    return { ...rest, fd: tap };
  }
  const stream =
    object.type === 'stream' ? names.get(`unix ${socketPath(object.addr)}`) : undefined;
  if (stream !== undefined) {
    // A network of that kind connects when no command is under way, and then knows no descriptor by a name.
    const { addr: _addr, server: _server, ...rest } = object;
    return { ...rest, type: 'socket', fd: stream };
  }
  return Object.fromEntries(
    Object.entries(object).map(([key, inner]) => [
      key,
      FILE_KEYS.includes(key) && typeof inner === 'string'
        ? (names.get(inner) ?? inner)
        : rename(inner, names),
    ]),
  );
}

function renamedSocket(address: Fields, path: string, names: ReadonlyMap<string, string>): Fields {
  const fd = names.get(`unix ${path}`);
  if (fd === undefined) {
    const own = names.get(path) ?? path;
    return address.data === undefined
      ? { ...address, path: own }
      : { ...address, data: { path: own } };
  }
  return address.data === undefined ? { type: 'fd', str: fd } : { type: 'fd', data: { str: fd } };
}

function walk(value: unknown, visit: (object: Fields) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) visit(value as Fields);
  for (const inner of Object.values(value)) walk(inner, visit);
}

/**
 * Says of qcow2 images what they stand on, which QEMU would otherwise look for by its path.
 * @param above images that stand on this one
 * @throws HcsError ERROR_INVALID_DATA for images that stand on themselves
 */
export function withBackingFiles(value: Fields, above: readonly string[] = []): Fields {
  const image = value.driver === 'qcow2' ? (value.file as Fields | undefined)?.filename : undefined;
  const isImage = typeof image === 'string';
  const whole = isImage ? onBacking(value, image, above) : value;
  return Object.fromEntries(
    Object.entries(whole).map(([key, inner]) => [
      key,
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? withBackingFiles(inner as Fields, isImage ? [...above, image] : above)
        : inner,
    ]),
  );
}

function onBacking(image: Fields, path: string, above: readonly string[]): Fields {
  if (above.includes(path)) {
    throw resourceFailure(
      'ERROR_INVALID_DATA',
      `the image "${path}" stands on itself: look at it with "qemu-img info", and give it another backing file (qemu-img rebase -u)`,
    );
  }
  if (image.backing !== undefined) return image;
  const backing = backingOf(path);
  if (backing === undefined) return image;
  return {
    ...image,
    backing: {
      driver: backing.format,
      file: { driver: 'file', filename: resolve(dirname(path), backing.path) },
    },
  };
}
