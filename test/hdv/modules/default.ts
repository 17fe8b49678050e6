import { First, Second } from './devices.ts';

export { First };

export default Second;
