// Who is signed in, and what they may see. The daemon decides what is allowed; these only decide
// what is shown.
import { createStore, useStore } from '../store';
import { api, ApiError, type Schema } from './client';
import { clearCache, invalidate } from './query';

export type Me = Schema<'Me'>;
export type Role = 'owner' | 'admin' | 'member' | 'viewer';

// undefined: not asked yet; null: nobody.
export const meStore = createStore<Me | null | undefined>(undefined);
// Whether the sign-in stands on top of the page, because the session ended in the middle.
export const signInStore = createStore<{ done: (signedIn: boolean) => void } | null>(null);

export function useMe(): Me | null | undefined {
  return useStore(meStore);
}

// Whose a page is: the person, and the place that the session works in. What was read or begun as one
// is not another's.
export const identityOf = (me: Me | null | undefined): string =>
  me ? `${me.person_id} ${me.organization_id ?? ''} ${me.project_id ?? ''}` : '';

// Questions are numbered: the answer to an older one than that of what is known is stale.
let lastAsked = 0;
let knownOf = 0;
// What was read as somebody else, or in another place, is forgotten; other tabs look for themselves.
export function setMe(next: Me | null, asked = ++lastAsked): void {
  if (asked < knownOf) return;
  knownOf = asked;
  const before = meStore.get();
  meStore.set(next);
  const isOther = identityOf(before) !== identityOf(next);
  if (before && isOther) clearCache();
  if (isOther || before?.csrf_token !== next?.csrf_token) tellTabs(next ? 'changed' : 'ended');
  if (next === null) signInStore.get()?.done(false);
}

// Who the daemon says is signed in; null for nobody, which is an answer and no refusal. Throws when it
// does not answer.
async function readMe(): Promise<Me | null> {
  return (await api.get('/auth/session')).me ?? null;
}

// Reads anew who is signed in. A session that has ended does not take the page away that was begun in
// it: the next call asks for a sign-in on top. `ended`: it was ended by hand, and nothing of it stays.
// `onMove` runs before the pages of the place before are taken away.
export async function loadMe({ ended = false, onMove = () => undefined as void } = {}): Promise<Me | null> {
  const number = ++lastAsked;
  const found = await readMe();
  const before = meStore.get();
  if (found && found.person_id === before?.person_id && identityOf(found) !== identityOf(before)) onMove();
  if (found || ended || !meStore.get()) setMe(found, number);
  return found;
}

// After a sign-in on top of a page. The new session may be in another place than the page: the same
// person goes back there first, so that what the page does next happens where it was begun.
export async function resume(): Promise<void> {
  const before = meStore.get();
  const found = await readMe();
  if (!found) return;
  const isSame = identityOf(before) === identityOf(found);
  if (!before || isSame || before.person_id !== found.person_id) return setMe(found);
  const { organization_id, project_id } = before;
  setMe({ ...before, csrf_token: found.csrf_token ?? null });
  try {
    await changeMe({
      ...(organization_id && { organization_id }),
      ...(project_id && { project_id }),
    });
  } catch {
    // They may no longer work there.
    setMe(found);
  }
}

export type Changes = Schema<'MyChanges'>;
// Changes the own name, or which organization and project are active; every list is then read anew.
export async function changeMe(body: Changes): Promise<void> {
  setMe(await api.patch('/api/v1/me', { body }));
}

export async function signOut(): Promise<void> {
  await api.post('/auth/logout').catch((error: unknown) => {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  });
  setMe(null);
}

// The tabs of a browser share one session: each tells the others what it changes of it, and looks
// itself whenever somebody comes back to it. Another tab may go to another place, and the page that was begun
// here is left: `onMove` runs before that, and `onMoved` after it.
let channel: BroadcastChannel | null = null;
const tellTabs = (what: 'changed' | 'ended'): void => channel?.postMessage(what);
export function watchSession(
  onMoved: (me: Me) => void = () => undefined,
  onMove: () => void = () => undefined,
): () => void {
  const look = (ended = false) => {
    const before = meStore.get();
    if (!before) return;
    loadMe({ ended, onMove }).then(
      (me) => {
        if (me && me.person_id === before.person_id && identityOf(me) !== identityOf(before)) onMoved(me);
      },
      () => undefined,
    );
  };
  const back = () => {
    if (!document.hidden) look();
  };
  // A page in which something was typed stays, with the sign-in on top of it, also when another tab
  // has signed out.
  let typedAt = '';
  const typed = () => {
    typedAt = location.hash;
  };
  try {
    channel = new BroadcastChannel('kvcs.me');
  } catch {
    // Where storage is blocked, tabs do not hear of each other; each looks when somebody comes back to it.
  }
  channel?.addEventListener('message', ({ data }) => look(data === 'ended' && typedAt !== location.hash));
  addEventListener('focus', back);
  addEventListener('input', typed);
  document.addEventListener('visibilitychange', back);
  return () => {
    channel?.close();
    channel = null;
    removeEventListener('focus', back);
    removeEventListener('input', typed);
    document.removeEventListener('visibilitychange', back);
  };
}

// One question for all calls that met the end of the session at the same time.
let asked: Promise<boolean> | null = null;
// Where somebody has closed the question: what polls there does not put it again.
let closedAt = '';
export function askSignIn(isRead: boolean): Promise<boolean> {
  // Before anybody was signed in, there is nothing to go on with.
  if (!meStore.get()) return Promise.resolve(false);
  if (isRead && closedAt !== '' && closedAt === location.hash) return Promise.resolve(false);
  const before = identityOf(meStore.get());
  asked ??= new Promise<boolean>((resolve) => {
    signInStore.set({
      done: (signedIn) => {
        signInStore.set(null);
        asked = null;
        closedAt = signedIn ? '' : location.hash;
        // Somebody else must not carry out what the first one had begun, nor anybody elsewhere.
        resolve(signedIn && identityOf(meStore.get()) === before);
      },
    });
  });
  return asked;
}

// A call whose token is another session's is made again for the same person in the same place alone.
async function takeToken(): Promise<boolean> {
  const before = identityOf(meStore.get());
  return (await loadMe()) !== null && identityOf(meStore.get()) === before;
}

api.configure({
  csrf: () => meStore.get()?.csrf_token ?? '',
  onSignedOut: askSignIn,
  onStaleCsrf: takeToken,
  onUnknown: () => invalidate(''),
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
// May change what the administration has of an organization: operators all, its managers their own.
export const mayAdminister = (me: Me, organization: string | null | undefined): boolean =>
  mayOperate(me) ||
  (me.organizations ?? []).some(
    (one) => one.organization_id === organization && ['owner', 'admin'].includes(one.role),
  );
// Likewise of a tenant, which has its organization's name; who is no operator sees the own ones alone.
export const mayTend = (me: Me, tenant: string): boolean =>
  mayOperate(me) ||
  (mayManage(me) &&
    (!isOperator(me) || (me.organizations ?? []).some((one) => one.slug === tenant)));
// May see the administration at all; may change it.
export const isOperator = (me: Me): boolean => (me.operator_role ?? null) !== null;
export const mayOperate = (me: Me): boolean => ['owner', 'admin'].includes(me.operator_role ?? '');
