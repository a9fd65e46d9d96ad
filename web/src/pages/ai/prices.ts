// Prices as people know them, USD for a million tokens, and as the daemon keeps them, for one: exact
// decimals on both sides.
import { fieldRefusal } from '../../api/error';
import type { Schema } from '../../api/client';
import { decimalsOf, moved, plainDecimal } from '../../ui/decimal';

export type Price = Schema<'Price'>;
export interface Row extends Price {
  // Set here, and not shipped.
  own: boolean;
}
const million = 6;
// A token's price has twelve decimals (pico-dollars).
const decimalsMax = 12 - million;
export const tokenPrices = ['input_cost_per_token', 'output_cost_per_token', 'cache_read_input_token_cost'] as const;
const limits = ['max_input_tokens', 'max_output_tokens'] as const;

// What a row says beside a price, and what a price is not asked for with.
const notAsked = ['own', 'model', 'org_id', 'price_version', 'has_ended', 'from', 'later', 'source', 'date'];

export const perMillion = (usd: number | undefined): string | null => (usd === undefined ? null : moved(usd, million));

// "$1.25", "$0.075": with cents at least, and never rounded.
export function priceText(perMillionUsd: string | null): string | null {
  if (perMillionUsd === null) return null;
  const [whole = '0', part = ''] = perMillionUsd.split('.');
  return `$${whole}.${part.padEnd(2, '0')}`;
}

// What was typed as the price of one token. Throws the words that stand beside the field.
function tokenPrice(name: string, typed: string): string {
  const plain = plainDecimal(typed);
  if (plain === null) throw fieldRefusal(name, `"${typed}" is not a decimal number that is zero or more, such as 1.25.`);
  if (decimalsOf(plain) > decimalsMax) throw fieldRefusal(name, `${typed} has ${decimalsOf(plain)} decimals; at most ${decimalsMax} are kept.`);
  return moved(plain, -million) ?? '0';
}

// The body of PUT …/prices/{model}: what was typed, and of the row everything that the form has no
// field for, since a price replaces the one before as a whole.
export function priceBody(row: Price | null, values: Record<string, string>): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row ?? {})) {
    if (notAsked.includes(name)) continue;
    body[name] = typeof value === 'number' && /cost/.test(name) ? plainDecimal(value) : value;
  }
  for (const name of tokenPrices) {
    const typed = (values[name] ?? '').trim();
    if (typed !== '') body[name] = tokenPrice(name, typed);
    else delete body[name];
  }
  for (const name of limits) {
    const typed = (values[name] ?? '').replace(/[\s,_]/g, '');
    if (typed !== '') body[name] = typed;
    else delete body[name];
  }
  return body;
}

// The rows of the table: what is set here, for everybody or for one organization, and the shipped prices
// that nothing replaces for everybody.
export function priceRows(overrides: Price[], prices: Price[]): Row[] {
  const replaced = new Set(overrides.filter((one) => !one.org_id).map((one) => one.model));
  return [
    ...overrides.map((one) => ({ ...one, own: true })),
    ...prices.filter((one) => !replaced.has(one.model)).map((one) => ({ ...one, own: false })),
  ];
}
