// Behind the link of an invitation: whoever is signed in is asked whether to join, and joins by a
// request of their own; everybody else gets the form that makes an account.
import { useEffect, useState } from 'preact/hooks';
import { postJson, readMe } from '../../api/client';
import type { Me } from '../../api/types';
import { SignInPage } from './SignInPage';

export interface JoinState {
  name: string;
  failure: string | null;
  busy: boolean;
  done: boolean;
}

export function JoinView({ name, failure, busy, done, onJoin }: JoinState & { onJoin?: () => void }) {
  return (
    <main>
      <section aria-labelledby="join">
        <h2 id="join">{done ? 'You have joined' : 'Join the organization'}</h2>
        {done
          ? <p>The organization is among yours. <a href="#/">Go on</a>.</p>
          : <p>You were invited, and are signed in as {name}.</p>}
        {failure && <p class="failure" role="alert">{failure}</p>}
        {!done && (
          <button type="button" disabled={busy} onClick={onJoin}>
            {busy ? 'One moment …' : `Join as ${name}`}
          </button>
        )}
      </section>
    </main>
  );
}

export function InvitationPage({ token }: { token: string }) {
  // Undefined until the daemon has said who is here.
  const [me, setMe] = useState<Me | null | undefined>(undefined);
  const [state, setState] = useState({ failure: null as string | null, busy: false, done: false });
  useEffect(() => {
    void readMe((path, init) => fetch(path, init)).then(setMe);
  }, []);
  if (me === undefined) return <main />;
  if (me === null) return <SignInPage way="invitation" token={token} />;
  const join = async () => {
    setState({ failure: null, busy: true, done: false });
    try {
      await postJson((path, init) => fetch(path, init), '/api/v1/invitations/accept', { token },
        me.csrf_token);
      // The link is spent: it leaves the address, and with it the history.
      history.replaceState(null, '', '#/');
      setState({ failure: null, busy: false, done: true });
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      setState({ failure, busy: false, done: false });
    }
  };
  return <JoinView name={me.name} {...state} onJoin={() => void join()} />;
}
