import type {
  ProcessorFeature,
  ProcessorFeatureSet,
  VirtualMachine_Processor,
  XsaveProcessorFeature,
} from '../../../hcs/schema/documents.ts';
import { ENUM_TYPES } from '../../../hcs/schema/schema-types.ts';
import { cannotHonour } from '../resources/resource-failure.ts';
import { FEATURE_FLAGS, SPECULATION_FLAGS } from './processor-features.ts';

/** What the guest's processors can do. */
export interface PlannedProcessorModel {
  /** Whether guests of the guest run on it. */
  readonly hasVirtualization: boolean;
  /** Whether the guest can hold speculation back, where the processor can. */
  readonly hasSpeculationControls: boolean;
  /** Flags of QEMU that are there and, of the others that the document could have named, those that are not. */
  readonly flags: Readonly<Record<string, boolean>>;
  /** Whether the machine is refused where the processor has less than the document says. */
  readonly isStrict: boolean;
}

/**
 * Reads what Processor of a document says of features.
 * @throws HcsError E_NOTIMPL for a feature that a processor of QEMU has no flag for, in the mode Strict
 */
export function planProcessorModel(
  at: string,
  processor: VirtualMachine_Processor = {},
): PlannedProcessorModel {
  const {
    ExposeVirtualizationExtensions: exposes = false,
    DisableSpeculationControls: isUncontrolled = false,
    ProcessorFeatureSet: set = {},
  } = processor;
  const flags = featureFlags(`${at}.ProcessorFeatureSet`, set);
  const hasVirtualization = exposes || flags.svm === true;
  const { svm: _svm, ...others } = flags;
  return {
    hasVirtualization,
    hasSpeculationControls: !isUncontrolled,
    flags: others,
    isStrict: set.ProcessorFeatureSetMode === 'Strict',
  };
}

/** A list that is there says all of its kind; one that is missing says nothing. */
function featureFlags(at: string, set: ProcessorFeatureSet): Record<string, boolean> {
  const flags: Record<string, boolean> = {};
  for (const [name, type] of [
    ['ProcessorFeatures', 'ProcessorFeature'],
    ['XsaveProcessorFeatures', 'XsaveProcessorFeature'],
  ] as const) {
    const listed = set[name];
    if (listed === undefined) continue;
    for (const feature of ENUM_TYPES[type]) {
      const flag = FEATURE_FLAGS[feature];
      if (flag !== undefined) flags[flag] = false;
    }
    for (const feature of listed) addFeature(flags, `${at}.${name}`, feature, set);
  }
  return flags;
}

function addFeature(
  flags: Record<string, boolean>,
  at: string,
  feature: ProcessorFeature | XsaveProcessorFeature,
  { ProcessorFeatureSetMode: mode }: ProcessorFeatureSet,
): void {
  const flag = FEATURE_FLAGS[feature];
  if (flag !== undefined) {
    flags[flag] = true;
  } else if (mode === 'Strict') {
    throw cannotHonour(
      at,
      `QEMU's x86 processors have no "${feature}"; leave it out, or write "ProcessorFeatureSetMode": "Permissive"`,
    );
  }
}

/** QEMU's arguments for an accelerator and a processor: all that it can give, less what the document takes away. */
export function processorArguments(
  accelerator: 'tcg' | 'kvm',
  { hasVirtualization, hasSpeculationControls, flags, isStrict }: PlannedProcessorModel,
): string[] {
  const changed: Record<string, boolean> = { ...flags };
  // TCG emulates AMD's extension; with KVM it is whichever the host has.
  for (const flag of accelerator === 'kvm' ? ['svm', 'vmx'] : ['svm']) {
    if (!hasVirtualization) changed[flag] = false;
    else if (accelerator === 'tcg') changed[flag] = true;
  }
  if (!hasSpeculationControls) for (const flag of SPECULATION_FLAGS) changed[flag] = false;
  const model = [
    accelerator === 'kvm' ? 'host' : 'max',
    ...(isStrict ? ['enforce'] : []),
    // Where all other extensions of XSAVE are off, QEMU leaves out what describes it (CPUID leaf 0xD).
    ...(flags.xsave === true ? ['min-level=13'] : []),
    ...Object.entries(changed).map(([flag, isOn]) => `${flag}=${isOn ? 'on' : 'off'}`),
  ].join(',');
  const engine = accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi';
  return ['-accel', engine, '-cpu', model];
}
