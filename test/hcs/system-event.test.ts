import { expect, test } from 'vitest';
import { HCS_EVENT_TYPE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { readEventData, systemEvent } from '../../src/hcs/system-event.ts';

const Operation = 0n as HCS_OPERATION;
const report = { SystemId: 'vm', CrashLog: 'panic' };
const status = { Status: 0, ExitType: 'GracefulExit' };

/** Every type, with its document and what a loop over the events of a system gets; undefined: nothing. */
const types: Record<keyof typeof HCS_EVENT_TYPE, readonly [data: object | null, unknown]> = {
  HcsEventInvalid: [null, undefined],
  HcsEventSystemExited: [status, { type: 'exited', status }],
  HcsEventSystemCrashInitiated: [report, { type: 'crashInitiated', report }],
  HcsEventSystemCrashReport: [report, { type: 'crashed', report }],
  HcsEventSystemRdpEnhancedModeStateChanged: [null, { type: 'rdpEnhancedModeChanged' }],
  // Reserved.
  HcsEventSystemSiloJobCreated: [null, undefined],
  HcsEventSystemGuestConnectionClosed: [{ any: 1 }, { type: 'guestConnectionClosed' }],
  HcsEventProcessExited: [null, undefined],
  HcsEventOperationCallback: [null, undefined],
  HcsEventServiceDisconnect: [null, { type: 'serviceDisconnected' }],
  HcsEventGroupVmLifecycle: [{ State: 'Paused' }, undefined],
  HcsEventGroupLiveMigration: [null, undefined],
  HcsEventGroupOperationInfo: [null, undefined],
};

test.each(Object.entries(types))('%s becomes what a loop gets', (name, [data, event]) => {
  const type = HCS_EVENT_TYPE[name as keyof typeof HCS_EVENT_TYPE];
  const EventData = data === null ? null : JSON.stringify(data);
  // A number with the highest bit comes from C as a negative one.
  for (const Type of [type, type | 0]) {
    expect(systemEvent({ Type, EventData, Operation } as never)).toEqual(event);
  }
});

test.each([null, '', 'no JSON', '7', 'null', '{'])('the document %j has no fields', (text) => {
  expect(readEventData(text)).toEqual({});
});
