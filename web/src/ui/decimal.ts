// Decimals as text: nothing here goes through a binary fraction, so that 0.1 and 0.2 stay what was typed.

const written = /^(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,3}))?$/i;

// "1.25e-6", ".5", "007" and 1e21 as plain digits: "0.00000125", "0.5", "7", "1000000000000000000000".
// null: not a decimal that is zero or more. A number is taken as JavaScript writes it, which is how
// the daemon wrote it for up to 15 digits.
export function plainDecimal(value: string | number): string | null {
  return moved(value, 0);
}

// The same times 10^places, by moving the point.
export function moved(value: string | number, places: number): string | null {
  const parts = written.exec(String(value).trim());
  if (!parts) return null;
  const [, whole = '', part = '', exponent = '0'] = parts;
  if (whole === '' && part === '') return null;
  const digits = whole + part;
  const point = whole.length + Number(exponent) + places;
  const wide = point > digits.length ? digits.padEnd(point, '0') : point < 0 ? '0'.repeat(-point) + digits : digits;
  const at = Math.max(point, 0);
  const front = wide.slice(0, at).replace(/^0+/, '') || '0';
  const back = wide.slice(at).replace(/0+$/, '');
  return back === '' ? front : `${front}.${back}`;
}

// "5,50" as a keypad without a point writes it: "5.50". Of "1,000" nobody knows what is meant, and the
// daemon refuses it.
export const withPoint = (text: string): string => text.replace(/^(\s*\d+),(\d{1,2}\s*)$/, '$1.$2');

// How many decimals a plain decimal has.
export const decimalsOf = (plain: string): number => plain.split('.')[1]?.length ?? 0;
