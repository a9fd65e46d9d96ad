// Behind a link that works once: the setup of the appliance, an invitation for somebody new, a new
// password. A link that is spent says so in the place of the form. The token never leaves the browser
// but to the daemon, in bodies, and leaves the address once spent.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { loadMe } from '../../api/session';
import { href, navigate, useTitle } from '../../router';
import { Command, ErrorBox, Field, Form, LinkButton, Skeleton, type Values } from '../../ui';

export type Way = 'setup' | 'invitation' | 'reset';
export const words: Record<Way, { title: string; text: string; button: string }> = {
  setup: {
    title: 'Set up kvcs',
    text: 'You will own this appliance and its organization “default”. The link works once.',
    button: 'Create my account',
  },
  invitation: {
    title: 'Join the organization',
    text: 'Choose a password to sign in with from now on.',
    button: 'Join',
  },
  reset: {
    title: 'A new password',
    text: 'Choose it here. You are signed out everywhere, and sign in with it.',
    button: 'Set my password',
  },
};

// What is sent: fields that were left empty are left out.
export async function begin(way: Way, token: string, values: Values): Promise<void> {
  const filled = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ''));
  const body = { ...filled, token } as never;
  if (way === 'setup') await api.post('/auth/setup', { body });
  else if (way === 'invitation') await api.post('/auth/register', { body });
  else await api.post('/auth/reset/confirm', { body });
}

export function NoToken({ title }: { title: string }) {
  return (
    <>
      <h1>{title}</h1>
      <p>This link has no token. Open it whole, as it was sent to you.</p>
    </>
  );
}

// A link that is used, has ended or never was, and how to get another.
function Spent({ way }: { way: 'setup' | 'reset' }) {
  const isSetup = way === 'setup';
  return (
    <>
      <h1>{isSetup ? 'This setup link works no longer' : 'This link works no longer'}</h1>
      <p>
        It was used already, or its time is over. If you have an account, sign in.
        {!isSetup && ' A link for a new password is good once, and for an hour.'}
      </p>
      <div class="form-actions">
        <LinkButton kind="primary" href={href('/login')}>
          Sign in
        </LinkButton>
        {!isSetup && <LinkButton href={href('/forgot')}>Ask for another link</LinkButton>}
      </div>
      <p>
        {isSetup
          ? 'On the server this makes another link, which is good for a day:'
          : 'An operator makes another link with:'}
      </p>
      <Command
        label="what makes another link"
        lines={[isSetup ? 'kvcs admin setup-link' : 'kvcs admin reset-link ADDRESS']}
      />
    </>
  );
}

// The form, where the daemon says that the link works; nothing is spent by asking.
export function BeginIfGood({ way, token }: { way: 'setup' | 'reset'; token: string }) {
  const { title } = words[way];
  useTitle(title);
  const { data, error, refresh } = useQuery(
    token === '' ? null : `/auth/${way}/look-up#${token}`,
    (signal) => api.post(`/auth/${way}/look-up` as const, { body: { token }, reads: true, signal }),
  );
  if (token === '') return <NoToken title={title} />;
  if (error && !data) {
    return (
      <>
        <h1>{title}</h1>
        <ErrorBox error={error} onRetry={refresh} />
      </>
    );
  }
  if (!data) return <Skeleton />;
  return data.works ? <Begin way={way} token={token} /> : <Spent way={way} />;
}

// `email`: whom an invitation is for.
export function Begin({
  way,
  token,
  email = null,
}: {
  way: Way;
  token: string;
  email?: string | null;
}) {
  const { title, text, button } = words[way];
  const [isDone, setDone] = useState(false);
  if (isDone) {
    return (
      <>
        <h1>Your password is set</h1>
        <p>Sign in with it.</p>
        <LinkButton kind="primary" href={href('/login')}>
          Sign in
        </LinkButton>
      </>
    );
  }
  return (
    <>
      {way !== 'invitation' && <h1>{title}</h1>}
      <p>{text}</p>
      <Form
        submit={button}
        onSubmit={async (values) => {
          await begin(way, token, values);
          if (way === 'reset') {
            history.replaceState(null, '', href('/reset'));
            setDone(true);
            return;
          }
          await loadMe();
          navigate(href('/'), { replace: true });
        }}
      >
        {way !== 'reset' && <Field name="name" label="Name" autocomplete="name" maxLength={200} />}
        {way !== 'reset' && (
          <Field
            name="email"
            label="E-mail address"
            type="email"
            autocomplete="username"
            required
            {...(email !== null && { defaultValue: email, readOnly: true })}
          />
        )}
        <Field
          name="password"
          label="Password"
          type="password"
          autocomplete="new-password"
          required
          minLength={8}
          hint="At least 8 characters."
        />
      </Form>
    </>
  );
}
