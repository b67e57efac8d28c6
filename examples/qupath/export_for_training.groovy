/*
 * Export what you corrected as a training set of nucleus-unet: the selected annotations as images, all objects as
 * GeoJSON beside them. Each image is named after its place, by which nucleus-unet finds its objects.
 *
 * For QuPath 0.5 and 0.6. Only documented functions of QuPath are used. The script was not run in QuPath.
 *
 * Before: give the fields whose nuclei are all correct the class Region*, and select them.
 * Then:   nucleus-unet train --data FOLDER --from embedded --out my-model
 */

import qupath.lib.regions.RegionRequest

def server = getCurrentServer()
if (server == null)
    throw new IllegalStateException('Open an image first.')
def areas = getSelectedObjects().findAll { it.isAnnotation() && it.hasROI() && it.getROI().isArea() }
if (areas.isEmpty())
    throw new IllegalStateException('Select the annotations whose nuclei are all correct.')

def project = getProject()
def parent = project == null ? new File(System.getProperty('user.home')) : project.getPath().getParent().toFile()
def folder = new File(parent, 'corrected')
folder.mkdirs()

// The name of the image, without what no file system takes.
def name = server.getMetadata().getName().replaceAll(/[\\\/:*?"<>|\[\]]/, '_')
areas.each { area ->
    def request = RegionRequest.createInstance(server.getPath(), 1.0d, area.getROI())
    def place = "x=${request.getX()},y=${request.getY()},w=${request.getWidth()},h=${request.getHeight()}"
    writeImageRegion(server, request, new File(folder, "${name} [${place}].tif").getAbsolutePath())
}
exportAllObjectsToGeoJson(new File(folder, name + '.geojson').getAbsolutePath(), 'FEATURE_COLLECTION')
println "${areas.size()} images written to ${folder}"
