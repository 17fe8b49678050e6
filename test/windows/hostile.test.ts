import { describeHostile } from './hostile.ts';

describeHostile(['initialize', 'setConfiguration', 'getDetails', 'start', 'stop', 'teardown']);
