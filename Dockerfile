# docker build .                     needs nothing but Docker
# docker build --target prebuilt .   packs bin/ripplebak and pulls nothing
ARG GO_IMAGE=golang:1.26

# This stage stands first because Docker's classic builder runs all stages from
# the top to the target: so it reaches prebuilt without a pull. And it copies
# the folder, not the file, because that builder comes through here on the way
# to the last stage too, when nothing has been built before.
FROM scratch AS prebuilt
COPY bin/ /
# By this label the sidecar leaves its own containers out of every plan.
LABEL io.ripplebak.sidecar=true
HEALTHCHECK --interval=1m --timeout=10s --start-period=1m CMD ["/ripplebak", "health"]
ENTRYPOINT ["/ripplebak"]
CMD ["serve"]

FROM ${GO_IMAGE} AS builder
ARG VERSION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN VERSION="$VERSION" scripts/build.sh /ripplebak

FROM scratch
COPY --from=builder /ripplebak /ripplebak
LABEL io.ripplebak.sidecar=true
HEALTHCHECK --interval=1m --timeout=10s --start-period=1m CMD ["/ripplebak", "health"]
ENTRYPOINT ["/ripplebak"]
CMD ["serve"]
