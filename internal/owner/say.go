package owner

import (
	"fmt"
	"time"

	"deploy/internal/node"
)

// Say tells people what a comparison found on a node, and what they can do about it. Both are ""
// where everything fits.
func (f Finding) Say(name string) (text, hint string) {
	o := f.Owner
	switch f.Verdict {
	case Adopt:
		return name + " has no owner record although acts of this journal are applied on it: the next apply adopts it", ""
	case ForeignSite:
		text = fmt.Sprintf("%s belongs to site %s", name, o.Site)
		if o.Journal != "" {
			text += ": " + holder(o)
		}
		return text, "if both sites work on it, write shared: true for " + name + " in both site files; if it has moved " +
			"here, roll it back there and run deploy clean, or give --take-over"
	case ForeignJournal:
		return fmt.Sprintf("another journal of this site is in charge of %s: journal %s, %s", name, o.Journal, holder(o)),
			"run there, or take that journal's state directory; --take-over puts this journal in charge"
	case NewerEpoch:
		return fmt.Sprintf("another controller has taken %s over: epoch %d, %s", name, o.Epoch, holder(o)),
			"run there; --take-over puts this journal in charge again"
	case UnknownAct:
		return fmt.Sprintf("%s has been worked on by a later state of this journal: act %d, %s", name, o.Seq, holder(o)),
			"this journal is an older copy: bring the newest one back; --take-over goes on with this one, which knows " +
				"nothing of what was done since"
	case AtWork:
		return fmt.Sprintf("another controller is at work on %s: %s", name, holder(o)),
			"wait until its run has ended; --take-over puts this journal in charge, and that run does nothing more there"
	case WentBack:
		text = fmt.Sprintf("%s went back: act %d is not on it", name, f.Act)
		if f.Act == 0 {
			text = name + " went back: acts that its agent reported are not in its record"
		}
		return text, "if " + name + " was put back to a snapshot, --went-back " + name + " notes that those acts are gone"
	case NewerFormat:
		return fmt.Sprintf("the owner record of site %s on %s was written by a later deploy", o.Site, name),
			"use the version of deploy that works on " + name
	case Unreadable:
		return fmt.Sprintf("cannot tell who is in charge of %s: %s", name, f.Why),
			"check its owner record, or pass --take-over to replace it"
	}
	return "", ""
}

// holder says who wrote a record, when, and for which run.
func holder(o node.Owner) string {
	who := o.Holder.Who
	if o.Holder.Host != "" {
		who += " on " + o.Holder.Host
	}
	return fmt.Sprintf("%s since %s (run %s)", who, o.Holder.Since.UTC().Format(time.RFC3339), o.Run)
}
