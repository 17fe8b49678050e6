import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keptBuild } from './kept-builds.ts';

const DAY = 24 * 3600 * 1000;
let parent: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'hdvkit-kept-builds-'));
});

afterEach(() => rmSync(parent, { recursive: true, force: true }));

const daysAgo = (days: number): Date => new Date(Date.now() - days * DAY);

/** A build that somebody made and used so many days ago. */
function older(name: string, days: number): string {
  const folder = join(parent, name);
  mkdirSync(folder);
  utimesSync(folder, daysAgo(days), daysAgo(days));
  return folder;
}

test('a build is made once', () => {
  let builds = 0;
  const folder = join(parent, 'cache', 'one');
  for (let i = 0; i < 2; i++) {
    keptBuild(folder, (draft) => writeFileSync(join(draft, 'library'), `build ${++builds}`));
  }
  expect(readFileSync(join(folder, 'library'), 'utf8')).toBe('build 1');
  expect(readdirSync(join(parent, 'cache'))).toEqual(['one']);
});

test('a build that fails leaves nothing, and says why', () => {
  const fail = (): never => {
    throw new Error('no compiler');
  };
  expect(() => keptBuild(join(parent, 'one'), fail)).toThrow('no compiler');
  expect(readdirSync(parent)).toEqual([]);
});

test('of two that build at once, the first one’s folder stays', () => {
  const folder = join(parent, 'one');
  keptBuild(folder, (draft) => {
    writeFileSync(join(draft, 'library'), 'second');
    keptBuild(folder, (other) => writeFileSync(join(other, 'library'), 'first'));
  });
  expect(readFileSync(join(folder, 'library'), 'utf8')).toBe('first');
  expect(readdirSync(parent)).toEqual(['one']);
});

test('a new build removes those that nobody has used for days, and drafts of processes that died', () => {
  older('old', 4);
  older('old.draft-x', 4);
  older('recent', 2);
  keptBuild(join(parent, 'new'), () => undefined);
  expect(readdirSync(parent).sort()).toEqual(['new', 'recent']);
});

test('a build that is used stays', () => {
  const used = older('used', 4);
  keptBuild(used, () => expect.unreachable('it is there'));
  expect(Date.now() - statSync(used).mtimeMs).toBeLessThan(DAY);
  keptBuild(join(parent, 'new'), () => undefined);
  expect(existsSync(used)).toBe(true);
});
