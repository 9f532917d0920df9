// Package proctree ends a program together with all that it has started: a process group on Linux,
// a job object on Windows.
//
// New comes before the program's start, Adopt right after it, Close after its end. What the program
// left running when it ended by itself (a service, an updater) goes on; what still runs when this
// process dies goes with it on Windows.
package proctree
