import { homedir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { crashReportsOf, defaultStateFolder } from '../../src/compute/state-folder.ts';

test('what a host keeps is where the user says, else where the system does', () => {
  expect(defaultStateFolder({ HDVKIT_STATE: '/kept', XDG_STATE_HOME: '/state' })).toBe('/kept');
  expect(defaultStateFolder({ HDVKIT_STATE: '', XDG_STATE_HOME: '/state' })).toBe(
    join('/state', 'hdvkit'),
  );
  const home = join(homedir(), '.local', 'state', 'hdvkit');
  expect(defaultStateFolder({ XDG_STATE_HOME: '' })).toBe(home);
});

test('crash reports go to the state folder, and to the hook that an option or the environment names', () => {
  const environment = { HDVKIT_STATE: '/kept', HDVKIT_CRASH_HOOK: '/hook' };
  expect(crashReportsOf({}, environment)).toEqual({
    folder: join('/kept', 'reports'),
    hook: '/hook',
  });
  const options = { stateFolder: '/other', crashReports: { hook: '/mine', limit: 3 } };
  expect(crashReportsOf(options, environment)).toEqual({
    folder: join('/other', 'reports'),
    hook: '/mine',
    limit: 3,
  });
});
