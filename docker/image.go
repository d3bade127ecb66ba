package docker

import (
	"context"
	"fmt"
	"maps"

	"github.com/containerd/errdefs"
)

// ImageLabels are the labels that an image carries, so that a container's own
// can be told from them. ErrNoImage where the image is gone.
func (e *Engine) ImageLabels(ctx context.Context, imageID string) (map[string]string, error) {
	labels := map[string]string{}
	err := e.retry(ctx, "GET /images/{name}/json", func(ctx context.Context) error {
		r, err := e.cli.ImageInspect(ctx, imageID)
		switch {
		case errdefs.IsNotFound(err):
			return fmt.Errorf("%w: %s", ErrNoImage, imageID)
		case err != nil:
			return err
		}
		if r.Config != nil {
			maps.Copy(labels, r.Config.Labels)
		}
		return nil
	})
	return labels, err
}
