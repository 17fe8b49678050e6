import { describeHostile } from './hostile.ts';

describeHostile([
  'readConfigSpace',
  'writeConfigSpace',
  'readInterceptedMemory',
  'writeInterceptedMemory',
]);
