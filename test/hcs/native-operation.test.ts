import { expect, test } from 'vitest';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { NativeOperation } from '../../src/hcs/native/native-operation.ts';
import { turn } from '../compute/recording-engine.ts';

function operationThat(completion: (context: unknown) => void): NativeOperation {
  return new NativeOperation(7n as HCS_OPERATION, 1, 'context', {
    completion: (_operation, context) => completion(context),
    event: null,
  });
}

test('calls back after the call that has completed before it returned', async () => {
  const log: unknown[] = [];
  const operation = operationThat((context) => log.push(context));
  operation.begin('HcsStartComputeSystem', () => {
    operation.completed();
    return HRESULT.S_OK;
  });
  log.push('returned');
  await turn();
  expect(log).toEqual(['returned', 'context']);
  operation.close(() => log.push('given back'));
  expect(log.at(-1)).toBe('given back');
});

test('expects no callback of a call that fails or throws, and knows the one before still', () => {
  const operation = operationThat(() => {});
  operation.begin('HcsCreateComputeSystem', () => HRESULT.S_OK);
  const { HCS_E_OPERATION_ALREADY_STARTED } = HRESULT;
  operation.begin('HcsStartComputeSystem', () => HCS_E_OPERATION_ALREADY_STARTED);
  const throwing = (): number => {
    throw new TypeError('no string');
  };
  expect(() => operation.begin('HcsPauseComputeSystem', throwing)).toThrow('no string');
  expect([operation.tracked, operation.isInFlight]).toEqual(['HcsCreateComputeSystem', true]);
  operation.completed();
  expect([operation.isInFlight, operation.isAwaited]).toEqual([false, false]);
  let isGivenBack = false;
  operation.close(() => {
    isGivenBack = true;
  });
  expect(isGivenBack).toBe(true);
});

test('has completed inside its callback, and is given back after it', () => {
  const log: unknown[] = [];
  const operation = operationThat(() => {
    log.push(operation.isInFlight, operation.isAwaited);
    operation.close(() => log.push('given back'));
    log.push('returns');
  });
  operation.begin('HcsStartComputeSystem', () => HRESULT.S_OK);
  operation.completed();
  expect(log).toEqual([false, true, 'returns', 'given back']);
});
