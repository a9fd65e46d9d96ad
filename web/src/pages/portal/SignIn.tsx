// Address and password, or another provider of sign-ins, and the code of a second factor.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { href } from '../../router';
import { codeOf, Field, Form } from '../../ui';

// Where a provider leads back to is a path of this host, with the prefix and the hash of the page.
// `invitation`: the token of one that lets a stranger in, and that whoever is known is asked about.
export function wayBack(url: string, next: string, invitation = ''): string {
  const { pathname } = new URL(api.url('/'));
  const query = new URLSearchParams({ next: pathname + next, ...(invitation && { invitation }) });
  return `${api.url(url)}?${query}`;
}

export function Providers({
  next = '#/',
  onTop = false,
  invitation = '',
}: {
  next?: string;
  onTop?: boolean;
  invitation?: string;
}) {
  const { data } = useQuery('/auth/providers', (signal) => api.get('/auth/providers', { signal }));
  const ways = data?.providers ?? [];
  if (ways.length === 0) return null;
  return (
    <p>
      Or {invitation ? 'join' : 'sign in'} through{' '}
      {ways.map((way, at) => (
        <span key={way.name}>
          {at > 0 && ', '}
          <a href={wayBack(way.url, next, invitation)} {...(onTop && { target: '_blank', rel: 'noopener' })}>
            {way.name}
          </a>
        </span>
      ))}
      {onTop && ' in another tab'}.
    </p>
  );
}

// `onDone`: the session has begun. `next`: the hash that other providers lead back to. `onTop`: over a page
// that must not be left. `invitation`: the token of the one that the page is about.
export function SignIn({
  onDone,
  next = '#/',
  onTop = false,
  email: known = '',
  invitation = '',
}: {
  onDone: () => void;
  next?: string;
  onTop?: boolean;
  email?: string;
  invitation?: string;
}) {
  const [ticket, setTicket] = useState('');
  const form = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const fields = [...(form.current?.querySelectorAll('input') ?? [])];
    fields.find((one) => one.value === '')?.focus();
  }, []);
  if (ticket !== '') {
    return (
      <Form
        key="code"
        submit="Go on"
        onCancel={() => setTicket('')}
        onSubmit={async ({ code = '' }) => {
          await api.post('/auth/login/totp', { body: { ticket, code: codeOf(code) } });
          onDone();
        }}
      >
        <p>
          Your account asks for a code of your authenticator app, or one of your recovery codes.
        </p>
        <Field
          name="code"
          label="Code"
          required
          maxLength={40}
          autocomplete="one-time-code"
          autofocus
        />
      </Form>
    );
  }
  return (
    <div class="sign-in" ref={form}>
      <Form
        key="password"
        submit="Sign in"
        onSubmit={async ({ email = '', password = '' }) => {
          const step = await api.post('/auth/login', { body: { email, password } });
          if (step.totp_required) setTicket(step.ticket ?? '');
          else onDone();
        }}
      >
        <Field
          name="email"
          label="E-mail address"
          type="email"
          autocomplete="username"
          required
          defaultValue={known}
        />
        <Field
          name="password"
          label="Password"
          type="password"
          autocomplete="current-password"
          required
        />
      </Form>
      <Providers next={next} onTop={onTop} invitation={invitation} />
      {!onTop && (
        <p class="small">
          <a href={href('/forgot')}>Forgot the password?</a>
        </p>
      )}
    </div>
  );
}
