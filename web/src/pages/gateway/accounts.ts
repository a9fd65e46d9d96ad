// Accounts at services, and what they are chosen by.
import type { Schema } from '../../api/client';
import { serverNow } from '../../clock';

export type Account = Schema<'Account'>;
export const accountPath = '/admin/tenants/{tenant}/providers/{provider}/accounts/{account}';

const goodStates = ['active', 'valid', 'ok'];
export const isGood = ({ state }: Pick<Account, 'state'>): boolean => goodStates.includes(state);

// Its token ends and stays so: nothing renews it, or it could not be renewed.
export const isEnding = (one: Pick<Account, 'state' | 'next_refresh_at'>): boolean =>
  one.next_refresh_at === null || one.state === 'retrying';
const endsWithin = (one: Pick<Account, 'expires_at'>, ms: number): boolean =>
  one.expires_at !== null && Date.parse(one.expires_at) < serverNow() + ms;

// What an account may be asked for by, as ?state=.
export type Wanted = 'attention' | 'soon' | 'expiring' | 'expired';
const dayMs = 86_400_000;
const fitting: Record<Wanted, (one: Account) => boolean> = {
  attention: (one) => !isGood(one),
  soon: (one) => isEnding(one) && endsWithin(one, 15 * 60_000),
  expiring: (one) => isEnding(one) && endsWithin(one, 7 * dayMs),
  expired: (one) => endsWithin(one, 0),
};
export const fitsState = (one: Account, state: string): boolean =>
  !Object.hasOwn(fitting, state) || fitting[state as Wanted](one);
