import type { Uefi } from '../../../hcs/schema/documents.ts';
import { cannotHonour, resourceFailure } from '../resources/resource-failure.ts';

/** What is done for UEFI Secure Boot. */
export type PlannedSecureBoot =
  /** The firmware checks what it boots, against Microsoft's certificates in a new store of variables. */
  | 'Apply'
  /** The firmware checks what it boots where its variables have certificates already. */
  | 'Skip'
  /** The firmware checks nothing. */
  | undefined;

/** MicrosoftUEFICertificateAuthority: what Microsoft has signed for all, boot loaders of Linux among it. */
const MICROSOFT_UEFI = '272e7447-90a4-4563-a4b9-8e4ab00526ce';
const OTHER_TEMPLATES: Readonly<Record<string, string>> = {
  '1734c6e8-3154-4dda-ba5f-a874cc483422': 'MicrosoftWindows',
  '4292ae2b-ee2c-42b5-a969-dd8f8689f6f3': 'OpenSourceShieldedVM',
};

/** Reads what Uefi of a document says of it. @throws HcsError E_NOTIMPL for a template that the firmware has not */
export function planSecureBoot(at: string, uefi: Uefi): PlannedSecureBoot {
  const { SecureBootTemplateId: id, ApplySecureBootTemplate: apply } = uefi;
  if (id === undefined) {
    if (apply !== 'Apply') return undefined;
    throw resourceFailure(
      'E_INVALIDARG',
      `${at}.SecureBootTemplateId is missing: write which template is to be applied, "${MICROSOFT_UEFI}"`,
    );
  }
  if (id.toLowerCase() !== MICROSOFT_UEFI) {
    const name = OTHER_TEMPLATES[id.toLowerCase()] ?? 'unknown';
    throw cannotHonour(
      `${at}.SecureBootTemplateId`,
      `the firmware has no store of certificates for ${id} (${name}); use ${MICROSOFT_UEFI} (MicrosoftUEFICertificateAuthority)`,
    );
  }
  return apply ?? 'Skip';
}

/** What is said of it among the properties of QEMU's machine: `,NAME=VALUE`, or nothing. */
export function secureBootProperties(secureBoot: PlannedSecureBoot): string {
  return secureBoot === undefined ? '' : ',smm=on';
}

/** QEMU's arguments for it: only the firmware, in System Management Mode, writes its variables. */
export function secureBootArguments(secureBoot: PlannedSecureBoot): string[] {
  return secureBoot === undefined
    ? []
    : ['-global', 'driver=cfi.pflash01,property=secure,value=on'];
}
