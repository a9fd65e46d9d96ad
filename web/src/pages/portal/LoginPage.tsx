// Sign in, and go on to what was asked for.
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { loadMe } from '../../api/session';
import type { PageProps } from '../../areas';
import { href, navigate, useTitle } from '../../router';
import { Notice } from '../../ui';
import { SignIn } from './SignIn';

// Only pages of this dashboard are gone on to.
export function nextOf(query: URLSearchParams): string {
  const next = query.get('next') ?? '';
  return next.startsWith('#/') && !next.startsWith('#/login') ? next : href('/');
}

export default function LoginPage({ query }: PageProps) {
  useTitle('Sign in');
  const next = nextOf(query);
  const { data } = useQuery('/auth/providers', (signal) => api.get('/auth/providers', { signal }));
  return (
    <>
      <h1>Sign in</h1>
      {data?.set_up === false && (
        <Notice tone="warn">
          Nobody has an account here yet. Open the <code>setup_url</code> of{' '}
          <code>initial-credentials.json</code> in the daemon’s data directory, or run{' '}
          <code>kvcs admin setup-link</code> there.
        </Notice>
      )}
      <SignIn
        next={next}
        onDone={() => {
          void loadMe().then(() => navigate(next, { replace: true }));
        }}
      />
    </>
  );
}
