// The parts of the own account.
import { href, usePlace } from '../../router';

const parts = [
  { path: '/account', label: 'Account' },
  { path: '/account/security', label: 'Password and second factor' },
  { path: '/account/sessions', label: 'Sessions and sign-ins' },
];

export function AccountTabs() {
  const { path } = usePlace();
  return (
    <nav class="tabs" aria-label="Account">
      {parts.map((one) => (
        <a
          key={one.path}
          class="tab"
          href={href(one.path)}
          aria-current={one.path === path ? 'page' : undefined}
        >
          {one.label}
        </a>
      ))}
    </nav>
  );
}
