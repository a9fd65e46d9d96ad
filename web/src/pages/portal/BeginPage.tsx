// Behind a link that works once: the setup of the appliance, an invitation for somebody new, a new
// password. The token never leaves the browser but to the daemon, and leaves the address once spent.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { loadMe } from '../../api/session';
import { href, navigate, useTitle } from '../../router';
import { Field, Form, LinkButton, type Values } from '../../ui';

export type Way = 'setup' | 'invitation' | 'reset';
export const words: Record<Way, { title: string; text: string; button: string }> = {
  setup: {
    title: 'Set up kvcs',
    text: 'You will own this appliance and its organization “default”. The link works once.',
    button: 'Create my account',
  },
  invitation: {
    title: 'Join the organization',
    text: 'You were invited. Choose a password to sign in with from now on.',
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

export function Begin({ way, token }: { way: Way; token: string }) {
  const { title, text, button } = words[way];
  const [isDone, setDone] = useState(false);
  useTitle(title);
  if (token === '') {
    return (
      <>
        <h1>{title}</h1>
        <p>This link has no token. Open it whole, as it was sent to you.</p>
      </>
    );
  }
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
      <h1>{title}</h1>
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
            required={way === 'setup'}
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
