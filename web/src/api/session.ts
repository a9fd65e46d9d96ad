// Who is signed in, and what they may see. The daemon decides what is allowed; these only decide
// what is shown.
import { createStore, useStore } from '../store';
import { api, ApiError, type Schema } from './client';
import { refusalOf } from './error';
import { clearCache } from './query';

export type Me = Schema<'Me'>;
export type Role = 'owner' | 'admin' | 'member' | 'viewer';

// undefined: not asked yet; null: nobody.
export const meStore = createStore<Me | null | undefined>(undefined);
// Whether the sign-in stands on top of the page, because the session ended in the middle.
export const signInStore = createStore<{ done: (signedIn: boolean) => void } | null>(null);

export function useMe(): Me | null | undefined {
  return useStore(meStore);
}

// Reads anew who is signed in; null for nobody, which is an answer and no refusal. Throws when the
// daemon does not answer. A session that has ended does not take the page away that was begun in it:
// the next call asks for a sign-in on top.
export async function loadMe(): Promise<Me | null> {
  const response = await fetch(api.url('/auth/session'), {
    headers: { accept: 'application/json' },
    cache: 'no-store',
    signal: AbortSignal.timeout(15_000),
  }).catch(() => {
    throw new ApiError(0, 'The daemon does not answer. Is kvcs serve running?');
  });
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw refusalOf(response.status, body, response.headers, '/auth/session');
  const { me } = body as Schema<'SignedIn'>;
  if (me) meStore.set(me);
  else if (!meStore.get()) meStore.set(null);
  return me;
}

export type Changes = Schema<'MyChanges'>;
// Changes the own name, or which organization and project are active; every list is read anew.
export async function changeMe(body: Changes): Promise<void> {
  meStore.set(await api.patch('/api/v1/me', { body }));
  if (body.organization_id !== undefined || body.project_id !== undefined) clearCache();
}

export async function signOut(): Promise<void> {
  await api.post('/auth/logout').catch((error: unknown) => {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  });
  clearCache();
  meStore.set(null);
}

// One question for all calls that met the end of the session at the same time.
let asked: Promise<boolean> | null = null;
// Where somebody has closed the question: what polls there does not put it again.
let closedAt = '';
function askSignIn(isRead: boolean): Promise<boolean> {
  // Before anybody was signed in, there is nothing to go on with.
  if (!meStore.get()) return Promise.resolve(false);
  if (isRead && closedAt !== '' && closedAt === location.hash) return Promise.resolve(false);
  const before = meStore.get()?.person_id;
  asked ??= new Promise<boolean>((resolve) => {
    signInStore.set({
      done: (signedIn) => {
        signInStore.set(null);
        asked = null;
        closedAt = signedIn ? '' : location.hash;
        // Somebody else must not carry out what the first one had begun.
        const same = meStore.get()?.person_id === before;
        if (signedIn && !same) clearCache();
        resolve(signedIn && same);
      },
    });
  });
  return asked;
}

api.configure({
  csrf: () => meStore.get()?.csrf_token ?? '',
  onSignedOut: askSignIn,
  onStaleCsrf: async () => void (await loadMe()),
});

// The own role in the active organization.
export function roleOf(me: Me): Role {
  const place = me.organizations?.find((one) => one.organization_id === me.organization_id);
  return place?.role ?? 'viewer';
}
// May change things of the organization's projects.
export const mayWrite = (me: Me): boolean => roleOf(me) !== 'viewer';
// May manage the organization: members, keys, plan.
export const mayManage = (me: Me): boolean => ['owner', 'admin'].includes(roleOf(me));
export const isOwner = (me: Me): boolean => roleOf(me) === 'owner';
// May see the administration at all; may change it.
export const isOperator = (me: Me): boolean => (me.operator_role ?? null) !== null;
export const mayOperate = (me: Me): boolean => ['owner', 'admin'].includes(me.operator_role ?? '');
