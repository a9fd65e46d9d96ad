// The person's menu at the top right: the own account, how the page looks, signing out.
import { wordsOf } from '../api/client';
import { type Me, signOut } from '../api/session';
import { href, navigate } from '../router';
import { changeSettings, useSettings } from '../settings';
import { Menu, type MenuItem, toast } from '../ui';

// "Ada Lovelace" → "Ada", for narrow screens.
const firstWord = (name: string): string =>
  (name.split(/[\s@]+/).filter(Boolean)[0] ?? '').slice(0, 10);

export function PersonMenu({ me, onShortcuts }: { me: Me; onShortcuts: () => void }) {
  const { theme, density } = useSettings();
  const leave = async () => {
    try {
      await signOut();
      navigate(href('/login'));
    } catch (error) {
      toast(wordsOf(error), { tone: 'bad' });
    }
  };
  const name = me.name || me.email || 'you';
  const items: MenuItem[] = [
    { heading: true, label: me.email ?? '' },
    { label: 'Account', href: href('/account') },
    { label: 'Password and second factor', href: href('/account/security') },
    { label: 'Sessions and sign-ins', href: href('/account/sessions') },
    { heading: true, label: 'Theme' },
    {
      label: 'As the system',
      chosen: theme === 'system',
      run: () => changeSettings({ theme: 'system' }),
    },
    { label: 'Light', chosen: theme === 'light', run: () => changeSettings({ theme: 'light' }) },
    { label: 'Dark', chosen: theme === 'dark', run: () => changeSettings({ theme: 'dark' }) },
    { heading: true, label: 'Rows' },
    {
      label: 'Normal',
      chosen: density === 'normal',
      run: () => changeSettings({ density: 'normal' }),
    },
    {
      label: 'Compact',
      chosen: density === 'compact',
      run: () => changeSettings({ density: 'compact' }),
    },
    { heading: true, label: 'More' },
    { label: 'Keyboard shortcuts', run: onShortcuts },
    { label: 'Sign out', run: () => void leave() },
  ];
  return (
    <Menu
      label={`${name}: account and looks`}
      align="right"
      kind="quiet"
      items={items}
      button={
        <>
          <span class="person-name" dir="auto">
            {name.slice(0, 24)}
          </span>
          <span class="person-short">{firstWord(name)}</span>
        </>
      }
    />
  );
}
