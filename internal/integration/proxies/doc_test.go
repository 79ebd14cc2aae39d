// Package integrationproxies tests an edge behind the proxies that a distribution ships, nginx and
// HAProxy: how many tokens pass with default settings, how a client recovers from a request that is too
// large for a proxy, what caches may store, and what happens if a proxy drops or cuts a header.
//
// The tests start the proxies as child processes with the configuration files of the distribution. They
// are skipped without nginx or haproxy on the path; with WAYBILL_NEED_PROXIES=1 they fail instead.
package integrationproxies
