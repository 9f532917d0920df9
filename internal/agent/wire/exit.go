package wire

// ExitFailed is the exit code of an agent's program that ran and could not do what it was started
// for; its stderr says why. It is none that a shell or a loader gives for a program that is not
// there or cannot run: those end with 1, 2, 126, 127, 216 or 9009.
const ExitFailed = 70

// ExitNoDisk is the exit code of an agent's program that has begun nothing, since the disk under
// its directory is full or read-only: no act could be written down there. Its stderr says what the
// system refused.
const ExitNoDisk = 73
