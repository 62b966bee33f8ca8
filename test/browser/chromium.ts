import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';

/** The folder for the screenshots of a run, for a person to look at. */
export const SCREENSHOTS = process.env['SCREENSHOTS'] ?? join(tmpdir(), 'airflow-xcom-exporter-screenshots');

/** One browser for the tests of a file. */
export function useChromium(): () => Browser {
  let browser: Browser | null = null;
  beforeAll(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true });
    browser = await chromium.launch({
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
  });
  return () => {
    if (browser === null) throw new Error('The browser is used before it has started');
    return browser;
  };
}

export interface Look {
  readonly scheme?: 'light' | 'dark';
  /** CSS pixels. */
  readonly width?: number;
  readonly scripts?: boolean;
}

/** Everything that the page did besides being shown. */
export interface Seen {
  /** Addresses that the page asked for, without the page itself. */
  readonly requests: string[];
  readonly console: string[];
  readonly dialogs: string[];
}

export interface OpenPage {
  readonly page: Page;
  readonly seen: Seen;
  close(): Promise<void>;
}

export async function openPage(browser: Browser, url: string, look: Look = {}): Promise<OpenPage> {
  const { scheme = 'light', width = 1200, scripts = true } = look;
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme: scheme,
    javaScriptEnabled: scripts,
  });
  const page = await context.newPage();
  const seen: Seen = { requests: [], console: [], dialogs: [] };
  page.on('request', (request) => {
    if (request.url() !== url) seen.requests.push(request.url());
  });
  page.on('console', (message) => seen.console.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => seen.console.push(`page error: ${error.message}`));
  page.on('dialog', (dialog) => {
    seen.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  // A violation that is only reported does not appear on the console.
  if (scripts)
    await page.addInitScript(`addEventListener('securitypolicyviolation', (event) => {
      console.error('violated: ' + event.violatedDirective + ' by ' + event.blockedURI);
    });`);
  await page.goto(url, { waitUntil: 'load' });
  return { page, seen, close: () => context.close() };
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string | null;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

/** The serious and critical faults that axe-core finds, as lines to read. */
export async function graveFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const results = await page.evaluate<AxeResults>('axe.run(document, { resultTypes: ["violations"] })');
  return results.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary ?? ''}`),
    );
}

/** How many pixels the page is wider than the window: a phone scrolls sideways by them. */
export async function overflow(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}
