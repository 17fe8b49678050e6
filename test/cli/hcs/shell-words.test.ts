import { expect, test } from 'vitest';
import { shellWords } from '../../../src/cli/hcs/shell-words.ts';

test.for([
  ['', ['']],
  ['hcs', ['hcs']],
  ['hcs ', ['hcs', '']],
  ['hcs  show  a', ['hcs', 'show', 'a']],
  ['hcs show a\\ b', ['hcs', 'show', 'a b']],
  ["hcs show 'a b", ['hcs', 'show', 'a b']],
  ['hcs show "a \\"b\\n', ['hcs', 'show', 'a "b\\n']],
  ["hcs show it\\'s", ['hcs', 'show', "it's"]],
  ["hcs show '' x", ['hcs', 'show', '', 'x']],
  ['hcs show a:b=c', ['hcs', 'show', 'a:b=c']],
  ['hcs show a\\', ['hcs', 'show', 'a']],
] as const)('%j', ([line, words]) => {
  expect(shellWords(line)).toEqual(words);
});
