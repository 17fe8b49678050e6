/** What `DeviceEndpoint.powerOn` resolves to where devices are served by vfio-user: where the VMM connects. */
export interface VfioUserEndpoint {
  readonly kind: 'vfio-user';
  readonly socketPath: string;
  /** Does the function have MSI-X? A VMM that aborts on the unplug of such a device must know. */
  readonly msix: boolean;
}
