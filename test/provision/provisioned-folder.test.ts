import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { provisionFolder } from '../../src/provision/provisioned-folder.ts';

let cache: string;
let folder: string;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'hdvp-'));
  folder = join(cache, 'thing-1');
});

afterEach(() => rmSync(cache, { recursive: true, force: true }));

async function build(draft: string, text: string): Promise<{ version: string }> {
  expect(existsSync(draft)).toBe(true);
  writeFileSync(join(draft, 'content'), text);
  return { version: '1.2' };
}

describe('a folder of the cache', () => {
  test('appears as a whole, with what the builder says about it', async () => {
    await provisionFolder(folder, {}, (draft) => {
      expect(existsSync(folder)).toBe(false);
      return build(draft, 'a');
    });
    expect(readFileSync(join(folder, 'content'), 'utf8')).toBe('a');
    expect(readFileSync(join(folder, 'version'), 'utf8')).toBe('1.2');
    expect(readdirSync(cache).sort()).toEqual(['locks', 'thing-1']);
  });

  test('is built once by callers that want it at the same time', async () => {
    let builds = 0;
    const one = (): Promise<void> =>
      provisionFolder(folder, {}, (draft) => {
        builds++;
        return build(draft, 'a');
      });
    await Promise.all([one(), one(), one()]);
    expect(builds).toBe(1);
  });

  test('is replaced by force, and kept when that fails', async () => {
    await provisionFolder(folder, {}, (draft) => build(draft, 'old'));
    await expect(
      provisionFolder(folder, { force: true }, () => Promise.reject(new Error('no network'))),
    ).rejects.toThrow('no network');
    expect(readFileSync(join(folder, 'content'), 'utf8')).toBe('old');
    await provisionFolder(folder, { force: true }, (draft) => build(draft, 'new'));
    expect(readFileSync(join(folder, 'content'), 'utf8')).toBe('new');
    expect(readdirSync(cache).sort()).toEqual(['locks', 'thing-1']);
  });

  test('is built anew over the draft of a process that died', async () => {
    mkdirSync(join(cache, 'thing-1.draft'));
    writeFileSync(join(cache, 'thing-1.draft', 'half'), '');
    await provisionFolder(folder, {}, (draft) => build(draft, 'a'));
    expect(readdirSync(folder).sort()).toEqual(['content', 'version']);
  });
});
