/**
 * The part of binary-parser that this project uses. The package has declarations, but its `exports` hide them from
 * modules that import it.
 */
declare module 'binary-parser' {
  export interface FieldOptions {
    readonly assert?: number | string;
    readonly zeroTerminated?: boolean;
    readonly encoding?: string;
    readonly length?: number | string | ((item: never) => number);
    readonly type?: string | Parser;
    readonly formatter?: (value: never) => unknown;
    readonly readUntil?: 'eof' | ((item: never, buffer: Buffer) => boolean);
    readonly choices?: Readonly<Record<number, string | Parser>>;
    readonly defaultChoice?: string | Parser;
    readonly tag?: string | ((item: never) => number);
  }

  export class Parser {
    endianness(endianness: 'little' | 'big'): this;
    uint8(name: string, options?: FieldOptions): this;
    uint16(name: string, options?: FieldOptions): this;
    uint16le(name: string, options?: FieldOptions): this;
    uint32(name: string, options?: FieldOptions): this;
    uint32le(name: string, options?: FieldOptions): this;
    uint64(name: string, options?: FieldOptions): this;
    uint64le(name: string, options?: FieldOptions): this;
    int32le(name: string, options?: FieldOptions): this;
    seek(length: number): this;
    string(name: string, options: FieldOptions): this;
    saveOffset(name: string): this;
    buffer(name: string, options: FieldOptions): this;
    array(name: string, options: FieldOptions): this;
    choice(name: string, options: FieldOptions): this;
    nest(name: string, options: FieldOptions): this;
    sizeOf(): number;
    parse(bytes: Uint8Array): unknown;
  }
}
