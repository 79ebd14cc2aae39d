// Package container runs a service of the demo where no supervisor starts it: in a container of its own. What it is told
// stands in flags and in the files of a volume; it finds its peers by name, is known by its hostname, and ends in order
// when it is asked to.
package container
