import { createRequire } from 'node:module';

// By an import, Node would read each file of the package a second time, to find what it exports: 15 ms of each `hcs`.
const library = createRequire(import.meta.url)(
  'vscode-jsonrpc/node',
) as typeof import('vscode-jsonrpc/node');

/** What this package uses of the library for JSON-RPC, loaded in the shortest time. */
export const {
  AbstractMessageReader,
  AbstractMessageWriter,
  CancellationSenderStrategy,
  createMessageConnection,
  ResponseError,
} = library;
export type ResponseError<D> = import('vscode-jsonrpc/node').ResponseError<D>;
