import { describe, expect, test } from 'vitest';
import type { HcsError } from '../../src/hcs/hcs-error.ts';
import { fieldTypes } from '../../src/hcs/schema/json-schema.ts';
import { OBJECT_TYPES, type ObjectType } from '../../src/hcs/schema/schema-types.ts';
import { documentProblems, parseDocument } from '../../src/hcs/schema/validate.ts';

const SECRET = 'xyzzy4711';
/** As a number, where the schema has none. */
const NUMBER = 471_147_114_711;
const types = Object.keys(OBJECT_TYPES) as ObjectType[];

/** Fields of the schema that may hold what nobody else is to know, by their types. */
const SECRET_FIELDS: readonly (readonly [ObjectType, string])[] = types.flatMap((type) =>
  Object.keys(fieldTypes(type) ?? {})
    .filter((field) =>
      /password|credential(?!guard)|secret|token$|cookie|cmdline|commandline|environment|optionaldata|securitydescriptor|registrychanges/i.test(
        field,
      ),
    )
    .filter(
      (field) => fieldTypes(type)?.[field] !== 'bool' && fieldTypes(type)?.[field] !== 'uint64',
    )
    .map((field) => [type, field] as const),
);

function failureOf(type: ObjectType, text: string): HcsError {
  try {
    parseDocument(type, text, 'HcsCreateComputeSystem');
  } catch (error) {
    return error as HcsError;
  }
  throw new Error(`There is nothing wrong with ${text}`);
}

/** All that a program could print of an error, causes included. */
function wordsOf(error: HcsError): string {
  const { message, stack, document, cause } = error;
  return [message, stack, document, String((cause as Error | undefined)?.stack)].join('\n');
}

describe('an error does not repeat', () => {
  test.each(SECRET_FIELDS)('what %s has as %s, whatever is wrong with it', (type, field) => {
    const values = [NUMBER, { inner: SECRET }, [SECRET], SECRET, true].filter(
      (value) => documentProblems(type, { [field]: value }).length > 0,
    );
    expect(values.length).toBeGreaterThan(1);
    for (const value of values) {
      const words = wordsOf(failureOf(type, JSON.stringify({ [field]: value })));
      expect(words).toContain(`$.${field}`);
      expect(words).not.toMatch(new RegExp(`${SECRET}|${NUMBER}|true`));
    }
  });

  test('what objects and arrays have in them that should be something else', () => {
    for (const type of types) {
      for (const field of Object.keys(fieldTypes(type) ?? {})) {
        for (const value of [{ one: SECRET }, [SECRET], [[SECRET]]]) {
          for (const { message } of documentProblems(type, { [field]: value })) {
            // A key is a name, and a name that should have been another is shown.
            expect(message.replace(/^is "xyzzy4711", /, '')).not.toContain(SECRET);
          }
        }
      }
    }
  });

  test('values of the registry, which are deep in an object', () => {
    const RegistryChanges = {
      AddValues: [{ Key: { Hive: 'System' }, Name: 'n', Type: 'String', StringValue: NUMBER }],
    };
    const words = wordsOf(
      failureOf('ComputeSystem', JSON.stringify({ VirtualMachine: { RegistryChanges } })),
    );
    expect(words).toContain('AddValues[0].StringValue is a number that is not shown here, not a');
    expect(words).not.toContain(String(NUMBER));
  });

  test.each([
    [`{"VirtualMachine": {"KernelCmdLine": ${SECRET}}}`, 'position 37'],
    [`{"KernelCmdLine": "${SECRET}" "more"}`, 'position 30'],
    [`{"a": ${SECRET}, "KernelCmdLine": "is long"}`, 'position 6'],
    [`{"a":${SECRET}}`, 'Unexpected token'],
  ])('a part of a text that is no JSON, and says where that is: %s', (text, place) => {
    const words = wordsOf(failureOf('ComputeSystem', text));
    expect(words).toContain('is not JSON: ');
    expect(words).toContain(place);
    expect(words).not.toMatch(/xyz|471/);
  });
});
