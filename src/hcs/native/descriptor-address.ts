import type { SECURITY_DESCRIPTOR } from '../core/handles.ts';
import { invalid } from './native-result.ts';

/** The address of a descriptor, which is all that Windows takes. @throws HcsError E_INVALIDARG for its text */
export function descriptorAddress<T extends SECURITY_DESCRIPTOR | null | undefined>(
  name: string,
  descriptor: T,
): Exclude<T, string> {
  if (typeof descriptor !== 'string') return descriptor as Exclude<T, string>;
  throw invalid(
    name,
    'the security descriptor is text: convert it by ConvertStringSecurityDescriptorToSecurityDescriptorW, and pass its address',
  );
}
