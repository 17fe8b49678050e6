import { expect, test } from 'vitest';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { isTimeout, nativeFailure } from '../../src/hcs/native/native-result.ts';

const GROUP = 'be a member of the group Hyper-V Administrators';

test.each([
  [null, undefined],
  ['', undefined],
  ['{"Error":-2143878885}', undefined],
  ['{"ErrorMessage":"Access is denied."}', 'Access is denied.'],
  ['{"ErrorEvents":[{"Message":"Access is denied."}]}', 'Access is denied.'],
])('names the group that may use the service once, with the document %j', (document, words) => {
  const error = nativeFailure('HcsCreateComputeSystem', HRESULT.HCS_E_ACCESS_DENIED | 0, document);
  expect([error.function, error.code]).toEqual(['HcsCreateComputeSystem', 'HCS_E_ACCESS_DENIED']);
  expect(error.reason.split(GROUP)).toHaveLength(2);
  if (words !== undefined) expect(error.reason).toContain(words);
});

test('leaves what others may not to their own words', () => {
  const document = '{"ErrorMessage":"No right to C:\\\\disk.vhdx"}';
  const { reason } = nativeFailure('HcsStartComputeSystem', HRESULT.E_ACCESSDENIED, document);
  expect(reason).toBe('No right to C:\\disk.vhdx');
});

test.each([0x8037_0118, 0x8037_0118 | 0, 0x8007_05b4, 0x8007_0102, 0x102])(
  'knows %i as the end of a wait',
  (hresult) => expect(isTimeout(hresult)).toBe(true),
);

test.each([0, 0x8037_0110, 0x8007_0006])('knows %i as an answer', (hresult) => {
  expect(isTimeout(hresult)).toBe(false);
});
