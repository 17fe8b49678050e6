import { resourceFailure } from './resource-failure.ts';

const INTERVAL_MS = 50;
const LIMIT_MS = 20_000;

/**
 * Asks until a guest has done what it was asked for.
 * @param isDone asks once
 * @param what what the guest is to do: `'give up memory'`
 * @throws HcsError ERROR_TIMEOUT naming the guest
 */
export async function settle(
  isDone: () => Promise<boolean>,
  what: string,
  limit: number = LIMIT_MS,
): Promise<void> {
  const end = performance.now() + limit;
  while (!(await isDone())) {
    if (performance.now() > end) {
      throw resourceFailure(
        'ERROR_TIMEOUT',
        `the guest did not ${what} within ${limit} ms: see that it has booted and has the driver for it`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
