/**
 * Takes all steps one after another, whatever becomes of those before: of what a machine leaves as much goes as can.
 * @returns what went wrong, in the order of the steps
 */
export async function eachStep(steps: readonly (() => unknown)[]): Promise<readonly Error[]> {
  const problems: Error[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      problems.push(error instanceof Error ? error : new Error(String(error)));
    }
  }
  return problems;
}
