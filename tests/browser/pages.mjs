// Opens the hosted pages in Debian's Chromium, looks at them with axe-core, and takes their pictures.

import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const axe = await fs.readFile(require.resolve('axe-core/axe.min.js'), 'utf8');

// Without these it asks its maker's servers for updates.
const QUIET = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic', '--no-first-run'];

const DEVICES = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 375, height: 667 },
};
const SCHEMES = ['light', 'dark'];

// Only what the documentation shows is worth a picture.
const SHOWN = await fs.readFile(new URL('../../docs/PAGES.md', import.meta.url), 'utf8');

/** A browser, as somebody has it who was never here before. */
export async function openBrowser() {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...QUIET, '--no-sandbox'] });
  const context = async (options = {}) => {
    const opened = await browser.newContext({ viewport: DEVICES.desktop, ...options });
    opened.setDefaultTimeout(20_000);
    return opened;
  };
  return { context, close: () => browser.close() };
}

/**
 * Fails when a page has anything that axe-core objects to, or is wider than the screen, on a phone or a desktop, light or dark.
 * Takes the pictures that the documentation shows when there is a folder for them.
 */
export async function looksRight(page, name, folder, { hasScript = false } = {}) {
  // Everything but the demonstration has to work without script, and the policy of the pages allows none.
  if (!hasScript && (await page.evaluate('document.scripts.length'))) throw new Error(`${name}: there is a script in it`);
  for (const [device, viewport] of Object.entries(DEVICES)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      const where = `${name}, ${device}, ${colorScheme}`;
      const width = await page.evaluate('document.documentElement.scrollWidth');
      if (width > viewport.width) throw new Error(`${where}: ${width} pixels wide, the screen has ${viewport.width}`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate('axe.run()');
      if (violations.length > 0) {
        const found = violations.map((each) => `${each.id}: ${each.help}\n${each.nodes.map((node) => `  ${node.html}\n  ${node.failureSummary}`).join('\n')}`);
        throw new Error(`${where}: axe-core objects\n${found.join('\n')}`);
      }
      const picture = `${name}-${device}-${colorScheme}.png`;
      if (folder && SHOWN.includes(`/${picture})`)) {
        await page.screenshot({ path: path.join(folder, picture), fullPage: true });
      }
    }
  }
  await page.setViewportSize(DEVICES.desktop);
}
