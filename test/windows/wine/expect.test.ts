import { describe, expect as own, test } from 'vitest';
import { expect } from './expect.ts';

describe('the expect of tests under Wine', () => {
  test('fails where Vitest’s does, and says what it wanted', () => {
    own(() => expect(1).toBe(2)).toThrow('expected 1 to be 2');
    own(() => expect({ a: [1] }).toEqual({ a: [2] })).toThrow('to deeply equal');
    own(() => expect(() => undefined).toThrow()).toThrow('to throw');
    own(() => expect.unreachable('here')).toThrow('here');
    expect({ a: 'text', b: 1 }).toMatchObject({ a: expect.stringMatching(/^t/) });
    expect(1).not.toBe(2);
  });

  test('fails where a promise does what it should not', async () => {
    await own(expect(Promise.resolve(1)).rejects.toThrow()).rejects.toThrow('resolved');
    await own(expect(Promise.resolve(1)).resolves.toBe(2)).rejects.toThrow('expected 1 to be 2');
  });

  test('asks again until it holds, or time is over', async () => {
    let asked = 0;
    await expect.poll(() => ++asked, { interval: 1 }).toBe(3);
    own(asked).toBe(3);
    await expect.poll(() => 1, { interval: 1 }).not.toBe(2);
    await own(expect.poll(() => 1, { interval: 1, timeout: 5 }).toBe(2)).rejects.toThrow(
      'expected 1 to be 2',
    );
  });
});
