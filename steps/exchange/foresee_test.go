package exchange

import (
	"testing"

	"deploy/steps"
)

// TestForesee: before the cluster and the server exist, no check can tell what a step will mean;
// the plan must say it all the same, and must not call a look a point of no return.
func TestForesee(t *testing.T) {
	for _, s := range []steps.Step{&Status{}, &StorageGroup{}} {
		f, ok := s.(steps.EffectsPreviewer)
		if !ok || !f.PreviewEffects().NothingToUndo || f.PreviewEffects().PointOfNoReturn != "" {
			t.Errorf("%s does not say that it leaves nothing to undo", s.Kind())
		}
	}
	for _, what := range []string{"schema", "ad", "domain"} {
		if (&Prepare{What: what}).PreviewEffects().PointOfNoReturn == "" {
			t.Errorf("preparing %s is not called a point of no return", what)
		}
	}
}
