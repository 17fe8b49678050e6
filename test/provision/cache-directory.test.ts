import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cacheDirectory } from '../../src/provision/cache-directory.ts';

describe('the cache directory', () => {
  test('is what HDVKIT_CACHE says before anything else', () => {
    expect(cacheDirectory({ HDVKIT_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
  });

  test('is a folder of the user’s cache otherwise', () => {
    expect(cacheDirectory({ XDG_CACHE_HOME: '/x', HDVKIT_CACHE: '' })).toBe('/x/hdvkit');
    expect(cacheDirectory({})).toBe(join(homedir(), '.cache/hdvkit'));
  });

  test('ignores a relative XDG_CACHE_HOME, as the specification of base directories says', () => {
    expect(cacheDirectory({ XDG_CACHE_HOME: 'x' })).toBe(join(homedir(), '.cache/hdvkit'));
  });
});
