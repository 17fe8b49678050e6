import { expect, test } from 'vitest';
import { LearnedSpin } from '../../src/ffi/gate/learned-spin.ts';

const LIMIT = 10_000;

test('a spin that pays gets a budget of several times what it needed', () => {
  const spin = new LearnedSpin(LIMIT);
  for (let i = 0; i < 100; i++) {
    expect(spin.budget).toBeGreaterThan(0);
    spin.found(300);
  }
  expect(spin.budget).toBeGreaterThan(2500);
  expect(spin.budget).toBeLessThan(3000);
});

test('spins in vain grow to the limit, then stop, and are tried again ever more seldom', () => {
  const spin = new LearnedSpin(LIMIT);
  const budgets = Array.from({ length: 2000 }, () => {
    const { budget } = spin;
    spin.missed(budget);
    return budget;
  });
  expect(Math.max(...budgets)).toBe(LIMIT);
  const tried = budgets.flatMap((budget, i) => (budget > 0 ? [i] : []));
  const distances = tried.slice(1).map((at, i) => at - tried[i]!);
  expect(distances.slice(0, 7)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  expect(distances.slice(7)).toEqual([17, 65, 257, 1025]);
});

test('one success brings spinning back', () => {
  const spin = new LearnedSpin(LIMIT);
  for (let i = 0; i < 8 + 16; i++) spin.missed(spin.budget);
  expect(spin.budget).toBeGreaterThan(0);
  spin.found(10);
  for (let i = 0; i < 7; i++) {
    const { budget } = spin;
    expect(budget).toBeGreaterThan(0);
    spin.missed(budget);
  }
});

test('a limit of 0 never spins', () => {
  const spin = new LearnedSpin(0);
  expect(spin.budget).toBe(0);
  spin.missed(0);
  expect(spin.budget).toBe(0);
});
