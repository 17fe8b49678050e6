/** A benchmark that makes sense on the machine of who installed this package. */
export interface BenchmarkEntry {
  readonly name: string;
  readonly question: string;
  /** What it takes besides Node; undefined: nothing. */
  readonly needs?: string;
  /** How long it takes, about. */
  readonly seconds: number;
  /** Whether `--rounds` means something to it. */
  readonly rounds: boolean;
  /** Whether `--devices` does: how many are attached. */
  readonly devices?: boolean;
}

/** The benchmarks of `hdvkit bench`, each a file of bench/. */
export const BENCHMARKS: readonly BenchmarkEntry[] = [
  {
    name: 'vfio-user',
    question: 'How long does a plain client wait for a register of a vfio-user server?',
    needs: 'Linux; a C compiler for the server in C',
    seconds: 30,
    rounds: true,
  },
  {
    name: 'dispatch',
    question: 'What does an access of a BAR cost from the host to the device and back?',
    seconds: 10,
    rounds: false,
  },
  {
    name: 'slot',
    question: 'How long does a processor wait for a device on another thread?',
    needs: 'a C compiler for the comparison with C',
    seconds: 60,
    rounds: true,
  },
  {
    name: 'dma',
    question: 'How fast does a device reach guest memory, against memcpy?',
    seconds: 30,
    rounds: true,
  },
  {
    name: 'scaling',
    question: 'How many accesses do 1 to 4 processors make of 1 to 64 devices in a second?',
    seconds: 120,
    rounds: true,
  },
  {
    name: 'attach',
    question: 'How long does it take to attach a device, and how much memory does it take?',
    seconds: 120,
    rounds: true,
    devices: true,
  },
  {
    name: 'idle',
    question: 'What do 64 devices cost that nobody uses?',
    seconds: 120,
    rounds: false,
    devices: true,
  },
  {
    name: 'guest',
    question: 'What does an access cost in a real Linux guest?',
    needs: 'Linux; a C compiler with a static libc; hdvkit provision',
    seconds: 90,
    rounds: true,
  },
];
