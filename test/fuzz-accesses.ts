/** Accesses of one fuzz line: a million in `npm run test:long`. */
export const FUZZ_ACCESSES = process.env.HDVKIT_LONG === '1' ? 1_000_000 : 10_000;

/** Milliseconds that one fuzz line may take. */
export const FUZZ_TIMEOUT = process.env.HDVKIT_LONG === '1' ? 1_800_000 : 60_000;
