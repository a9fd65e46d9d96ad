// How a person begins: the setup link, an invitation, a reset link, address and password, or the code
// of a second factor. One form for all, since they differ in what the link brings along and in where
// the words are sent.
import { useState } from 'preact/hooks';
import { postJson } from '../../api/client';

export type Way = 'setup' | 'invitation' | 'login' | 'reset' | 'code';

interface Words { title: string; text: string; button: string; path: string }
const words: Record<Way, Words> = {
  setup: {
    title: 'Set up kvcs',
    text: 'You will own this appliance and its organization “default”. The link works once.',
    button: 'Create my account',
    path: '/auth/setup',
  },
  invitation: {
    title: 'Join the organization',
    text: 'You were invited. Choose a password to sign in with from now on.',
    button: 'Join',
    path: '/auth/register',
  },
  login: { title: 'Sign in', text: '', button: 'Sign in', path: '/auth/login' },
  reset: {
    title: 'A new password',
    text: 'Choose it here. You are signed out everywhere, and sign in with it.',
    button: 'Set my password',
    path: '/auth/reset/confirm',
  },
  code: {
    title: 'Sign in',
    text: 'Your account asks for a code of your authenticator app, or one of your recovery codes.',
    button: 'Go on',
    path: '/auth/login/totp',
  },
};

// "#/setup?token=…" → what it asks for. The token never leaves the browser but to the daemon.
export function wayOf(hash: string): { way: Way; token: string } | null {
  const match = /^#\/(setup|invitation|login|reset)(?:\?token=([\w.-]+))?$/.exec(hash);
  if (!match) return null;
  const way = match[1] as Way;
  if (way !== 'login' && !match[2]) return null;
  return { way, token: match[2] ?? '' };
}

export interface SignInState {
  way: Way;
  failure: string | null;
  busy: boolean;
  done: string | null;
}

export function SignInView(
  { way, failure, busy, done, onSubmit }: SignInState & { onSubmit?: (form: HTMLFormElement) => void },
) {
  const { title, text, button } = words[way];
  if (done !== null && way === 'reset') {
    return (
      <main>
        <section><h2>Done</h2><p>Your password is set. <a href="#/login">Sign in</a>.</p></section>
      </main>
    );
  }
  if (done) {
    return (
      <main>
        <section><h2>Welcome, {done}</h2><p>You are signed in. <a href="#/">Go on</a>.</p></section>
      </main>
    );
  }
  return (
    <main>
      <section aria-labelledby="sign-in">
        <h2 id="sign-in">{title}</h2>
        {text && <p>{text}</p>}
        <form class="sign-in" onSubmit={(event) => {
          event.preventDefault();
          onSubmit?.(event.currentTarget as HTMLFormElement);
        }}>
          {way === 'code' && (
            <label>Code
              <input name="code" required maxLength={40} autocomplete="one-time-code" autofocus />
            </label>
          )}
          {(way === 'setup' || way === 'invitation') && (
            <label>Name<input name="name" autocomplete="name" maxLength={200} /></label>
          )}
          {way !== 'reset' && way !== 'code' && (
            <label>E-mail address
              <input name="email" type="email" autocomplete="username" required={way !== 'invitation'} />
            </label>
          )}
          {way !== 'code' && (
            <label>Password
              <input name="password" type="password" required minLength={way === 'login' ? 1 : 8}
                autocomplete={way === 'login' ? 'current-password' : 'new-password'} />
            </label>
          )}
          {failure && <p class="failure" role="alert">{failure}</p>}
          <button type="submit" disabled={busy}>{busy ? 'One moment …' : button}</button>
        </form>
      </section>
    </main>
  );
}

// What goes along with the words of a form.
function extra(way: Way, token: string): Record<string, unknown> {
  if (way === 'login') return {};
  return way === 'code' ? { ticket: token } : { token };
}

// `onDone`: what follows instead of the words of welcome.
export function SignInPage(asked: { way: Way; token: string; onDone?: () => void }) {
  const [state, setState] = useState<SignInState>(
    { way: asked.way, failure: null, busy: false, done: null });
  const [token, setToken] = useState(asked.token);
  const { way } = state;
  const submit = async (form: HTMLFormElement) => {
    const fields: Record<string, unknown> = {};
    new FormData(form).forEach((value, name) => {
      if (value !== '') fields[name] = value;
    });
    setState({ ...state, failure: null, busy: true });
    try {
      const body = { ...fields, ...extra(way, token) };
      const begun = await postJson((path, init) => fetch(path, init), words[way].path, body);
      if (begun['totp_required'] === true) {
        setToken(String(begun['ticket']));
        setState({ ...state, way: 'code', failure: null, busy: false });
        return;
      }
      if (asked.onDone) return asked.onDone();
      // The link is spent: it leaves the address, and with it the history.
      history.replaceState(null, '', '#/');
      setState({ ...state, busy: false, done: String(begun['name'] ?? '') });
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      setState({ ...state, busy: false, failure });
    }
  };
  return <SignInView {...state} onSubmit={(form) => void submit(form)} />;
}
