import { expect, test } from 'vitest';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';

test('says which function failed, why and with which code', () => {
  const cause = new Error('x');
  const error = new HcsError({
    function: 'HcsStartComputeSystem',
    hresult: HRESULT.HCS_E_INVALID_STATE | 0,
    message: 'the system is running',
    cause,
  });
  expect(error.message).toBe(
    'HcsStartComputeSystem failed: the system is running (HCS_E_INVALID_STATE 0x80370105)',
  );
  expect(error).toMatchObject({
    name: 'HcsError',
    function: 'HcsStartComputeSystem',
    hresult: 0x8037_0105,
    code: 'HCS_E_INVALID_STATE',
    reason: 'the system is running',
    events: [],
    cause,
  });
});

test('explains a code by itself, and gives an unknown one as a number', () => {
  const timeout = new HcsError({ function: 'f', hresult: HRESULT.HCS_E_OPERATION_TIMEOUT });
  expect(timeout.message).toContain('the operation did not complete in time and goes on');
  const unknown = new HcsError({ function: 'f', hresult: 0x8888_0001 });
  expect(unknown.code).toBe('0x88880001');
  expect(unknown.message).toBe('f failed: 0x88880001');
  expect(unknown.document).toBeUndefined();
});

test('takes reason and events from the result document', () => {
  const document = JSON.stringify({
    Error: -2147418113,
    ErrorMessage: 'device failed',
    ErrorEvents: [{ Message: 'first', EventId: 7 }],
  });
  const error = new HcsError({ function: 'f', hresult: HRESULT.E_UNEXPECTED, document });
  expect(error.reason).toBe('device failed');
  expect(error.events).toEqual([{ Message: 'first', EventId: 7 }]);
  expect(error.document).toBe(document);
});

test.each([
  [
    { ErrorMessage: "Invalid JSON document '$.VirtualMachine.Chipset'" },
    '$.VirtualMachine.Chipset',
  ],
  [
    { ErrorMessage: '$.Devices.Scsi["a b"].Attachments[0] is missing' },
    '$.Devices.Scsi["a b"].Attachments[0]',
  ],
  [{ ErrorMessage: "no object at '$'" }, '$'],
  [{ ErrorMessage: 'costs 5$.', ErrorEvents: [{ Message: 'at $.Owner: bad' }] }, '$.Owner'],
  [{ ErrorEvents: [{ Data: [{ Type: 1 }, null, { Value: '$.Owner' }] }] }, '$.Owner'],
  [{ ErrorMessage: 'device failed' }, undefined],
])('finds the path of the field in %j', (document, path) => {
  const text = JSON.stringify(document);
  const error = new HcsError({
    function: 'f',
    hresult: HRESULT.HCS_E_INVALID_JSON,
    document: text,
  });
  expect(error.path).toBe(path);
});

test('takes the reason from the events where the document has none of its own', () => {
  const document = '{"ErrorMessage":"","ErrorEvents":[null,7,{"EventId":1},{"Message":"no disk"}]}';
  const error = new HcsError({ function: 'f', hresult: HRESULT.E_FAIL, document });
  expect(error.message).toBe('f failed: no disk (E_FAIL 0x80004005)');
  expect(error.events).toEqual([{ EventId: 1 }, { Message: 'no disk' }]);
});

test.each(['', '{', 'null', '7', '{"ErrorMessage":3,"ErrorEvents":{}}', '{"ErrorEvents":[null]}'])(
  'survives the document %j',
  (document) => {
    const error = new HcsError({ function: 'f', hresult: HRESULT.E_FAIL, document });
    expect([error.code, error.events]).toEqual(['E_FAIL', []]);
  },
);
