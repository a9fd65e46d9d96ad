// The whole: who is signed in decides between the frame with its pages, a page that is open to
// everybody, and the way in.
import { useEffect, useState } from 'preact/hooks';
import { identityOf, loadMe, type Me, resume, signInStore, useMe, watchSession } from '../api/session';
import { href, installShortcuts, navigate, usePlace } from '../router';
import { useStore } from '../store';
import { Button, Dialog, ErrorBox, Skeleton, toast, Toasts } from '../ui';
import { dropDrafts, keepTyped } from '../ui/drafts';
import { SignIn } from '../pages/portal/SignIn';
import { Alone } from './Alone';
import { Frame } from './Frame';
import { Outlet, useRoute } from './Outlet';

// On top of the page that a session has ended under: nothing that was typed is lost.
function SignInOnTop() {
  const asked = useStore(signInStore);
  const me = useMe();
  useEffect(() => {
    if (!asked) return;
    // Back from another tab, where somebody may have signed in meanwhile.
    const look = () => {
      void loadMe().then(
        (found) => {
          if (found) asked.done(true);
        },
        () => undefined,
      );
    };
    addEventListener('focus', look);
    return () => removeEventListener('focus', look);
  }, [asked]);
  if (!asked) return null;
  return (
    <Dialog title="Sign in again" onClose={() => asked.done(false)}>
      <p>Your session has ended. Sign in, and the page goes on where it was.</p>
      <SignIn
        onTop
        email={me?.email ?? ''}
        onDone={() => {
          void resume().then(
            () => asked.done(true),
            () => asked.done(false),
          );
        }}
      />
    </Dialog>
  );
}

// What was typed for one organization or project is not for another one, unless somebody puts it back.
function tellMoved(me: Me): void {
  const place = me.organizations?.find((one) => one.organization_id === me.organization_id);
  const where = place ? `${place.name}${me.project ? ` / ${me.project}` : ''}` : 'another place';
  toast(`Another tab went to ${where}, and this one with it. What was open here was closed; a form in which you typed gives it back when you open it again.`, { about: 'moved', tone: 'bad' });
}

const againMs = 4000;
export function App() {
  const me = useMe();
  const [failure, setFailure] = useState<unknown>(null);
  const { path, query } = usePlace();
  const loaded = useRoute(path);
  const ask = () => void loadMe().then(() => setFailure(null), setFailure);
  useEffect(ask, []);
  // Asked again by itself, until the daemon is back.
  useEffect(() => {
    if (failure === null) return;
    const timer = setTimeout(ask, againMs);
    return () => clearTimeout(timer);
  }, [failure]);
  useEffect(installShortcuts, []);
  useEffect(() => watchSession(tellMoved, keepTyped), []);
  // One person's words are not another's.
  useEffect(dropDrafts, [me?.person_id]);
  const isOpen = loaded?.kind === 'page' && loaded.route.open === true && loaded.path === path;
  const needsSignIn = me === null && loaded !== undefined && loaded.path === path && !isOpen;
  useEffect(() => {
    if (!needsSignIn) return;
    const next = href(path, Object.fromEntries(query));
    navigate(href('/login', path === '/' ? {} : { next }), { replace: true });
  }, [needsSignIn]);

  if (failure !== null) {
    return (
      <Alone>
        <h1>Not reachable</h1>
        <ErrorBox error={failure} />
        <Button kind="primary" onClick={ask}>
          Try again
        </Button>
      </Alone>
    );
  }
  // A page that is open stands alone for those who are not signed in, and so do the ways in.
  if (
    me === null ||
    (isOpen && loaded.route.path.startsWith('/') && alone.has(path.split('/')[1] ?? ''))
  ) {
    return (
      <>
        <Alone wide={!alone.has(path.split('/')[1] ?? '')}>
          {isOpen ? <Outlet loaded={loaded} /> : <Skeleton />}
        </Alone>
        <Toasts />
      </>
    );
  }
  if (me === undefined)
    return (
      <Alone>
        <Skeleton />
      </Alone>
    );
  return (
    <>
      <Frame me={me}>
        <Outlet key={identityOf(me)} loaded={loaded} />
      </Frame>
      <SignInOnTop />
      <Toasts />
    </>
  );
}

// Ways in, which have no frame whoever is signed in.
const alone = new Set(['login', 'setup', 'invitation', 'reset', 'forgot', 'device']);
